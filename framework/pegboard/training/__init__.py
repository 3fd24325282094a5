"""The stages from a source to a published version; ``pipeline`` names them in order."""
