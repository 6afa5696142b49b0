"""`manage.py milepost`."""
