"""The ground that every room stands on: errors, time, chance, queues, processes. Imports nothing of Pinnace."""
