"""Figures as SVG, with the data that they show.

svg       elements as text
scale     axes: ranges, round ticks, numbers in words
style     colours that differ for the colour-blind too, for light and for dark pages
figure    what every chart returns: an id, a title, the SVG, and its data
lines     curves over time or updates, a band for the spread
ages      histograms of ages, one beside the other
timeline  who waited for whom, over a window of time
matrix    who waited for whom, in all
"""
