"""What all figures share."""

SMALL, NORMAL = 7, 9   # font sizes, points
INK = "Greys"          # 0 is white, 1 is black
COLUMN = 3.6           # inches: a figure as wide as this is readable at 80 mm
