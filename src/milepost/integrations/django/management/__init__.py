"""Django finds its commands below this package."""
