"""The gate that a version passes before an environment takes it: rules, and what they have found."""
