"""What is set to show a head that wears nothing."""

BARE = {
    "subject.wear.glasses.kind": "none",
    "subject.wear.hat.kind": "none",
    "subject.wear.mask.kind": "none",
    "subject.wear.scarf": False,
    "subject.wear.headphones": False,
    "subject.wear.jewellery.earrings": "none",
    "subject.wear.jewellery.necklace": "none",
}
