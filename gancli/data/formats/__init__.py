"""Data sets in files: folders of images, IDX, npz, text, TensorFlow Datasets."""
