"""Maps of what each pixel contributes to a class score: one pure function a method, batch in, batch out."""
