"""The parts of the IBISAgent module; each file holds the idea it is named after."""
