"""Deep Inside Convolutional Networks (Simonyan, Vedaldi, Zisserman 2013): class models, saliency, localisation."""
