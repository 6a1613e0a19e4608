"""Parts of the MONAI Label app; `main.py` beside this package puts them together."""
