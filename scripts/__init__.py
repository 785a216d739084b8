"""Programs for the people who work on modeldrop; nothing here ships."""
