"""The restyle stage: pictures of things in styles that nobody drew them in."""
