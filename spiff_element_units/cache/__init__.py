"""Where packs lie: the directory, its upkeep, and what differs between platforms."""
