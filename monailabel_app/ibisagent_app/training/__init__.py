"""Learning from accepted studies: trainers, the next study to label, and scores of labels."""
