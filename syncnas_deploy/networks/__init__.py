"""What a network is, without torch: configs, strategies, widths, segments, weights, lowering."""
