"""Programs that draw from an exported generator without Equipoise: `export` writes them, and nobody imports them."""
