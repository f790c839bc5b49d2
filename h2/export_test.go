package h2

// StartGoServer is for the examples.
var StartGoServer = startGoServer
