"""The device that models compute on, whatever their family: what it is and how full it is."""
