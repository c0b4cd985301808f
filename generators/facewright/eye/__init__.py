"""The eye: its parameters, anatomy, lids and analytic labels. numpy only."""
