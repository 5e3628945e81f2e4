"""Sessions: visits taken together, how deep and how long they were."""
