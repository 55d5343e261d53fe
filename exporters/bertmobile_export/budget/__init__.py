"""The best formats for all matrices under a limit: sensitivities, and the solver."""
