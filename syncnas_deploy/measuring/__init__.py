"""What every measurement shares: a network as a job, the outputs it must give, energy."""
