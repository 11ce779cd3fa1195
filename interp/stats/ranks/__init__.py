"""Statistics of one sequence spread over several processes of torch.distributed."""
