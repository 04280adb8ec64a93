"""Threads of a process: a pool of daemon threads, wake-ups, timers."""
