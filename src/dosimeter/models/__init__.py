"""Networks: architectures, last layer, transfer, adapters, weights, access."""
