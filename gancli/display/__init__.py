"""What people look at: pictures, progress and tables. The rest of the program prints nothing."""
