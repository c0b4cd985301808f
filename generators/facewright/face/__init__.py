"""The face: its parameters, head basis, expression, hair and landmarks. numpy only."""
