"""What the layout model knows: the things of OpenImages, by name and number.

Of the 600 kinds of thing that have boxes in OpenImages (annotations by Google, CC BY 4.0) the paper's authors kept the
commonest 300 and those of COCO, made twelve of them one with another, and numbered the rest by the order of their
identifiers, suitcases last: rdm/data/openimages_bbox_helpers/ in CompVis/retrieval-augmented-diffusion-models.
"""

from __future__ import annotations

import difflib

from safelight.errors import BadInput

LIST = """\
Tortoise; Sea turtle; Toothbrush; Sink; Toy; Apple; Human eye; Cosmetics; Paddle; Beer; Human beard; Bird; Parking
meter; Traffic light; Cucumber; Doll; Skull; Sunglasses; Cart; Ball; Backpack; Bicycle; Home appliance; Boat;
Surfboard; Fast food; Boot; Headphones; Hot dog; Shorts; Bus; Bicycle wheel; Laptop; Dress; Bear; Bagel; Tower;
Person; Swimwear; Brassiere; Bee; Balloon; Tent; Vehicle registration plate; Lantern; Toaster; Billboard; Necklace;
Carnivore; Scissors; Stairs; Computer keyboard; Traffic sign; Chair; Shirt; Poster; Cheese; Sock; Fire hydrant; Land
vehicle; Earrings; Tie; Watercraft; Cabinetry; Muffin; Snack; Clock; Camel; Medical equipment; Cattle; Cello; Coat;
Suit; Desk; Cat; Bronze sculpture; Juice; Gondola; Beetle; Cannon; Computer mouse; Cookie; Office building; Fountain;
Coin; Cocktail; Computer monitor; Box; Christmas tree; Cowboy hat; Hiking equipment; Studio couch; Drum; Dessert;
Drink; Zucchini; Human mouth; Dairy Product; Oven; Dinosaur; Goggles; Couch; Whiteboard; Door; Hat; Fedora; Scarf;
Dolphin; Tin can; Mug; Harbor seal; Human body; Roller skates; Coffee cup; Stop sign; Office supplies; Vase; Coffee;
Food; Sun hat; Flying disc; Skirt; Fruit; French fries; Barrel; Kite; Flag; French horn; Human foot; Jacket; Egg
(Food); Street light; Guitar; Pillow; Human leg; Grape; Human ear; Bookcase; Panda; Giraffe; Goldfish; Houseplant;
Goat; Baseball bat; Baseball glove; Marine invertebrates; House; Horse; Sandal; Bicycle helmet; Saucer; Human hair;
Curtain; Bed; Insect; Hair dryer; Invertebrate; Refrigerator; Fashion accessory; Motorcycle; Table; Tableware; Knife;
Bottle; Lavender (Plant); Lighthouse; Human head; Bowl; Porch; Lizard; Musical instrument; Bust; Plate; Mobile phone;
Baked goods; Mushroom; Mirror; Personal flotation device; Musical keyboard; Chest of drawers; Ostrich; Piano; Plant;
Sports equipment; Penguin; Pumpkin; Pear; Polar bear; Cupboard; Pizza; Pig; Snowboard; Skateboard; Rifle; High heels;
Rose; Rabbit; Sculpture; Saxophone; Seafood; Picture frame; Sushi; Ski; Squirrel; Tripod; Snake; Coffee table;
Skyscraper; Sheep; Television; Tea; Tank; Tiger; Strawberry; Trumpet; Tree; Tomato; Train; Tool; Trousers; Football
helmet; Truck; Violin; Vehicle; Handbag; Wine; Weapon; Wheel; Zebra; Auto part; Monkey; Lion; Bread; Platter; Chicken;
Eagle; Helicopter; Owl; Duck; Crocodile; Toilet; Clothing; Footwear; Lemon; Spider; Deer; Frog; Banana; Wine glass;
Oyster; Countertop; Swimming pool; Waste container; Dog; Book; Elephant; Shark; Candle; Flower; Furniture; Palm tree;
Hamburger; Maple; Building; Fish; Airplane; Spoon; Convenience store; Bench; Ice cream; Butterfly; Parachute; Orange;
Antelope; Window; Castle; Jellyfish; Moths and butterflies; Goose; Mule; Swan; Fork; Lamp; Camera; Human face; Human
arm; Vegetable; Falcon; Snail; Shellfish; Carrot; Jeans; Flowerpot; Drawer; Stool; Cake; Dragonfly; Common sunflower;
Microwave oven; Marine mammal; Sea lion; Ladybug; Shelf; Watch; Candy; Salad; Parrot; Sparrow; Van; Sports uniform;
Tennis racket; Kitchen & dining room table; Bathroom accessory; Kitchen appliance; Tire; Luggage and bags; Microphone;
Broccoli; Umbrella; Pastry; Grapefruit; Animal; Lily; Doughnut; Glasses; Human nose; Pen; Car; Aircraft; Human hand;
Teddy bear; Sandwich; Shrimp; Crab; Taxi; Canoe; Remote control; Wheelchair; Helmet; Suitcase
"""
NAMES = LIST.replace("\n", " ").strip().split("; ")

# What is drawn under another name.
SAME = {
    "Woman": "Person",
    "Man": "Person",
    "Girl": "Person",
    "Boy": "Person",
    "Bull": "Cattle",
    "Football": "Ball",
    "Tennis ball": "Ball",
    "Kitchen knife": "Knife",
    "Submarine sandwich": "Sandwich",
    "Sofa bed": "Couch",
    "Alarm clock": "Clock",
    "Wall clock": "Clock",
}

NUMBERS = {name.casefold(): number for number, name in enumerate(NAMES)}
NUMBERS |= {name.casefold(): NUMBERS[same.casefold()] for name, same in SAME.items()}


def open_images_number(name: str) -> int:
    """The number of a kind of thing, in whatever case it is written; raises BadInput, naming those like it."""
    number = NUMBERS.get(name.casefold())
    if number is None:
        near = difflib.get_close_matches(name.casefold(), NUMBERS, n=3, cutoff=0.5)
        like = f", such as {', '.join(near)}" if near else ""
        raise BadInput(
            f"label {name!r} is unknown; allowed: the name of one of {len(NAMES)} things{like}, or a number."
        )
    return number
