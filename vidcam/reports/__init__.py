"""What an analysis is written as: JSON, CSV, WebVTT, NPZ, COCO and HTML pages."""
