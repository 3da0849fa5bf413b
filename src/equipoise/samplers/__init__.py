"""What `equipoise export` writes beside a generator: programs that draw from it without Equipoise. Nobody imports them."""
