"""Making many frames: what is to be done, one worker, and supervised workers on this machine."""
