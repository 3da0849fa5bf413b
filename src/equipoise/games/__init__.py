"""Games: sets of players and orders of moves, one file each. They share functions and no base class."""
