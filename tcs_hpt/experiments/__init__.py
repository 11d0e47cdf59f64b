"""What is not tuning: is this model good enough?"""
