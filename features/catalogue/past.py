"""Past outcomes: what this customer did in earlier outcome windows that have closed by now."""
