"""What the steps share; imports go down, from training to util."""
