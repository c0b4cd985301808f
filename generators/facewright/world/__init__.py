"""What surrounds the person: gaze target, pose, camera, light and image. numpy only."""
