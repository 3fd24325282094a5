"""What a plugin's tests may use: hypothesis strategies made from signatures."""
