"""The gallery: plugins with one defect each, and good ones beside them. The tests put this package on the path."""
