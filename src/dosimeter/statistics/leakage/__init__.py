"""What features at a cut give away: errors of reconstructed records, and how well attributes are told."""
