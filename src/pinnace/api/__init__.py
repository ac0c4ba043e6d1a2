"""The write path: the one way to change an object. `Api` is the door; `world` declares what it needs from outside."""
