"""Split: could somebody who sees what crosses the cut of a model tell the input, or a private attribute of it?"""
