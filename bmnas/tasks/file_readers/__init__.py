"""How the tasks read their files: archives, JPEG pictures and text, with errors that name the place."""
