"""The deep forward probe and its way back: matrices in panels, phases of tasks, figures."""
