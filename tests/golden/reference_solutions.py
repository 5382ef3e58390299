"""How the shipped questions' answers were found: a working for each sum, code for each code task.

The tests evaluate the workings and run the code through the scorer, so that no shipped answer is a guess.
"""

from __future__ import annotations

WORKINGS = {
    "arithmetic-01": "3 + 4",
    "arithmetic-02": "20 + 15",
    "arithmetic-03": "30 - 9",
    "arithmetic-04": "6 * 7",
    "arithmetic-05": "72 / 9",
    "arithmetic-06": "64 / 2",
    "arithmetic-07": "10 * 25",
    "arithmetic-08": "5 ** 2",
    "arithmetic-09": "2 * 60",
    "arithmetic-10": "8 * 4",
    "arithmetic-11": "100 - 1",
    "arithmetic-12": "3 * 12",
    "arithmetic-13": "148 + 276",
    "arithmetic-14": "503 - 178",
    "arithmetic-15": "23 * 17",
    "arithmetic-16": "432 / 18",
    "arithmetic-17": "240 * 15 / 100",
    "arithmetic-18": "100 % 7",
    "arithmetic-19": "(14 - 6) * (3 + 9)",
    "arithmetic-20": "50 - 6 * 7",
    "arithmetic-21": "-8 + 3",
    "arithmetic-22": "12 - 20",
    "arithmetic-23": "2 ** 9",
    "arithmetic-24": "196 ** 0.5",
    "arithmetic-25": "0.25 + 0.5",
    "arithmetic-26": "1.5 * 6",
    "arithmetic-27": "(12 + 18 + 30) / 3",
    "arithmetic-28": "14 * 25",
    "arithmetic-29": "40 + 95",
    "arithmetic-30": "91 / 7",
    "arithmetic-31": "12 * 15 - 130",
    "arithmetic-32": "2 * (13 + 8)",
    "arithmetic-33": "9 * 7",
    "arithmetic-34": "240 / 3",
    "arithmetic-35": "347 * 28",
    "arithmetic-36": "1234 + 5678 - 999",
    "arithmetic-37": "sum(range(1, 41))",
    "arithmetic-38": "math.gcd(84, 126)",
    "arithmetic-39": "math.lcm(12, 18)",
    "arithmetic-40": "17 * 17 - 13 * 13",
    "arithmetic-41": "3 / 4 + 1 / 8",
    "arithmetic-42": "7 * (18 - 5) - 36 / 4",
    "arithmetic-43": "80 * 1.25 * 0.9",
    "arithmetic-44": "3 * 8 / 4",
    "arithmetic-45": "2 * 3600 + 15 * 60",
    "arithmetic-46": "(48 + 17) / 5",
    "arithmetic-47": "9999 / 11",
}
"""Question id -> a Python expression (it may use `math`) that gives the answer's value."""

SOLUTIONS = {
    "code-01": """\
def triple(n):
    return 3 * n
""",
    "code-02": """\
def first_item(items):
    return items[0]
""",
    "code-03": """\
def greet(name):
    return f'Hello, {name}!'
""",
    "code-04": """\
def smaller(a, b):
    return a if a < b else b
""",
    "code-05": """\
def text_length(s):
    return len(s)
""",
    "code-06": """\
def shout(s):
    return s.upper() + '!'
""",
    "code-07": """\
def is_positive(n):
    return n > 0
""",
    "code-08": """\
def rectangle_area(width, height):
    return width * height
""",
    "code-09": """\
def keep_odd(numbers):
    return [n for n in numbers if n % 2]
""",
    "code-10": """\
def sum_to(n):
    return n * (n + 1) // 2
""",
    "code-11": """\
def count_letter(s, letter):
    return s.lower().count(letter.lower())
""",
    "code-12": """\
def celsius(fahrenheit):
    return (fahrenheit - 32) * 5 / 9
""",
    "code-13": """\
def initials(name):
    return ''.join(word[0].upper() for word in name.split())
""",
    "code-14": """\
def second_largest(numbers):
    return sorted(set(numbers))[-2]
""",
    "code-15": """\
def is_leap(year):
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
""",
    "code-16": """\
def is_prime(n):
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))
""",
    "code-17": """\
def every_second(items):
    return items[::2]
""",
    "code-18": """\
def longest_word(s):
    return max(s.split(), key=len)
""",
    "code-19": """\
def word_counts(s):
    counts = {}
    for word in s.split():
        counts[word] = counts.get(word, 0) + 1
    return counts
""",
    "code-20": """\
def swap_ends(items):
    if len(items) < 2:
        return list(items)
    return [items[-1], *items[1:-1], items[0]]
""",
    "code-21": """\
def fibonacci(n):
    numbers = [0, 1]
    while len(numbers) < n:
        numbers.append(numbers[-1] + numbers[-2])
    return numbers[:n]
""",
    "code-22": """\
def invert(mapping):
    return {value: key for key, value in mapping.items()}
""",
    "code-23": """\
def divisors(n):
    return [d for d in range(1, n + 1) if n % d == 0]
""",
    "code-24": """\
from itertools import groupby


def run_lengths(s):
    return [(character, len(list(run))) for character, run in groupby(s)]
""",
    "code-25": """\
def to_roman(n):
    numeral = ''
    for value, sign in ((50, 'L'), (40, 'XL'), (10, 'X'), (9, 'IX'), (5, 'V'), (4, 'IV'), (1, 'I')):
        while n >= value:
            numeral += sign
            n -= value
    return numeral
""",
    "code-26": """\
def balanced(s):
    depth = 0
    for character in s:
        depth += (character == '(') - (character == ')')
        if depth < 0:
            return False
    return depth == 0
""",
    "code-27": """\
def rotate(items, k):
    if not items:
        return []
    k %= len(items)
    return items[-k:] + items[:-k] if k else list(items)
""",
    "code-28": """\
def transpose(rows):
    return [list(column) for column in zip(*rows)]
""",
    "code-29": """\
def merge_ranges(ranges):
    merged = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
""",
    "code-30": """\
def caesar(s, k):
    return ''.join(chr((ord(c) - 97 + k) % 26 + 97) if 'a' <= c <= 'z' else c for c in s)
""",
    "code-31": """\
def median(numbers):
    ordered = sorted(numbers)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2
""",
    "code-32": """\
def prime_factors(n):
    factors = []
    divisor = 2
    while n > 1:
        while n % divisor == 0:
            factors.append(divisor)
            n //= divisor
        divisor += 1
    return factors
""",
    "code-33": """\
def peaks(numbers):
    inner = range(1, len(numbers) - 1)
    return [i for i in inner if numbers[i - 1] < numbers[i] > numbers[i + 1]]
""",
}
"""Question id -> a function that passes the question's asserts."""
