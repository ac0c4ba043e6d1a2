"""Server-side apply: a caller says what it wants of an object, and who wanted what is kept with the object."""
