"""The run-or-skip competition: read its CSV files, train, predict, score.

    id,question,choices,subject,correct          questions; `correct` only for training
    id,correct[,cost]                            the truth to score against; questions will do as well
    id,action                                    a submission: run or skip
    id,p                                         or the probability that the answer is right

Choices are a list in JSON, or columns A, B, C, ..., or stand in the question already. Running costs, a
wrong answer costs, and skipping what would have been answered costs; the lowest mean cost wins.
"""
