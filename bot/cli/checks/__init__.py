"""What the doctor looks at, a room a subject."""
