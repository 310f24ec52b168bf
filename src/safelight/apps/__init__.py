"""What people start: the command line. No logic of its own; it calls the library and shows what it says."""
