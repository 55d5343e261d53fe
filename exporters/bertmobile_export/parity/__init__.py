"""Is the written bundle, run as an app runs it, still the model it was made from?"""
