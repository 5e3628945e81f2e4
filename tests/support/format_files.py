"""One small export of each known format, with what it must become. All invented.

Each example: rows by column, and the contract rows that they are: {table: {kind: (rows, sum)}}. The
sum is of amounts in cents or of scores; of interactions and complaints it is 0.
"""

from __future__ import annotations

# ruff: noqa: E501
import csv
import io
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Example:
    """The text of one export, and the counts and sums that must come out of it."""

    format: str
    text: str
    expected: dict[str, dict[str, tuple[int, float]]]
    people: set[str] = field(default_factory=set)

    @property
    def columns(self) -> list[str]:
        return next(csv.reader(io.StringIO(self.text)))

    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.text)))


def table(text: str) -> str:
    """The lines without their indent."""
    return "\n".join(line.strip() for line in text.strip().splitlines()) + "\n"


def save(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def file_of(folder: Path, example: Example, name: str = "export.csv", **cells: str) -> Path:
    """The example's file, with these cells in every row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, example.columns)
    writer.writeheader()
    writer.writerows(row | {k: v for k, v in cells.items() if k in row} for row in example.rows())
    return save(folder, name, text.getvalue())


def totals(history, table: str) -> dict[str, tuple[int, float]]:
    """Rows and sum (of amounts or scores) by kind; visits of the other file do not count."""
    value = {"transactions": "amount", "feedback": "score"}.get(table, "NULL")
    kind = "''" if table == "customers" else "kind"
    rows = history.connection.execute(
        f"SELECT {kind}, count(*), coalesce(sum({value}), 0) FROM {table} "
        "WHERE customer_id NOT LIKE 'v_' GROUP BY 1"
    ).fetchall()
    return {kind: (count, float(total)) for kind, count, total in rows}


SHOPIFY_ORDERS = Example(
    "Shopify orders",
    table("""
    Name,Email,Financial Status,Paid at,Currency,Subtotal,Total,Created at,Lineitem quantity,Lineitem name,Refunded Amount,Outstanding Balance,Payment Method,Id
    #1,Ann@x.org,paid,2024-01-02 12:00:00 +0200,EUR,30.00,30.00,2024-01-02 12:00:00 +0200,1,Cup,0.00,0.00,card,91
    #1,Ann@x.org,,,,,,2024-01-02 12:00:00 +0200,2,Jar,,,,
    #2,bob@x.org,refunded,2024-01-03 09:00:00 +0200,EUR,20.00,20.00,2024-01-03 09:00:00 +0200,1,Cup,20.00,0.00,card,92
    #3, ann@x.org ,partially_refunded,2024-02-03 09:00:00 +0200,EUR,40.00,40.00,2024-02-03 09:00:00 +0200,1,Cup,15.50,0.00,card,93
    #4,bob@x.org,pending,,EUR,11.00,11.00,2024-02-04 09:00:00 +0200,1,Cup,0.00,11.00,card,94
    #5,cy@x.org,voided,,EUR,12.00,12.00,2024-02-05 09:00:00 +0200,1,Cup,0.00,0.00,card,95
    #6,cy@x.org,partially_paid,2024-02-06 09:00:00 +0200,EUR,50.00,50.00,2024-02-06 09:00:00 +0200,1,Cup,0.00,20.00,card,96
    #7,dee@x.org,paid,2024-02-07 23:30:00 +0200,EUR,1.05,1.05,2024-02-07 23:30:00 +0200,1,Cup,0.00,0.00,card,97
    """),
    {"transactions": {"purchase": (5, 12105), "refund": (2, 3550), "void": (1, 1200)}},
    {"ann@x.org", "bob@x.org", "cy@x.org", "dee@x.org"},
)
SHOPIFY_CUSTOMERS = Example(
    "Shopify customers",
    table("""
    Customer ID,First Name,Last Name,Email,Accepts Email Marketing,Default Address Country Code,Total Spent,Total Orders,Note,Tax Exempt,Tags
    '71,Ann,A,Ann@x.org,yes,NL,45.50,2,,no,
    '72,Bob,B,bob@x.org,no,DE,0.00,1,,no,
    '73,Cy,C,cy@x.org,yes,NL,30.00,1,,no,
    """),
    {"customers": {"": (3, 0)}},
    {"ann@x.org", "bob@x.org", "cy@x.org"},
)
WOOCOMMERCE = Example(
    "WooCommerce orders",
    table("""
    Order ID,Order Status,Order Date,Customer ID,Billing Email,Order Total,Order Currency,Payment Method Title,Refund Amount
    1,wc-completed,2024-01-02 10:00,7,Ann@x.org,30.00,EUR,Card,0.00
    2,wc-processing,2024-01-03 10:00,0,bob@x.org,20.00,EUR,Card,0.00
    3,wc-refunded,2024-01-04 10:00,7,ann@x.org,40.00,EUR,Card,40.00
    4,wc-failed,2024-01-05 10:00,0,bob@x.org,11.00,EUR,Card,0.00
    5,wc-cancelled,2024-01-06 10:00,9,cy@x.org,12.00,EUR,Card,0.00
    6,wc-on-hold,2024-01-07 10:00,9,cy@x.org,13.00,EUR,Card,0.00
    7,wc-completed,2024-01-08 10:00,9,cy@x.org,50.00,EUR,Card,5.25
    """),
    {
        "transactions": {
            "purchase": (4, 14000),
            "refund": (2, 4525),
            "payment_failed": (1, 1100),
            "void": (1, 1200),
        }
    },
    {"ann@x.org", "bob@x.org", "cy@x.org"},
)
SQUARE = Example(
    "Square transactions",
    table("""
    Date,Time,Time Zone,Gross Sales,Discounts,Net Sales,Tax,Tip,Total Collected,Source,Card Entry Methods,Fees,Transaction ID,Payment ID,Event Type,Location,Customer ID,Customer Name,Customer Reference ID
    2024-01-02,21:50:48,Eastern Time (US & Canada),"$1,200.00",$0.00,"$1,200.00",$0.00,$0.00,"$1,200.00",Register,Tapped,-$0.95,T1,P1,Payment,Main,C1,Ann,
    2024-01-03,09:00:00,Eastern Time (US & Canada),$20.00,$0.00,$20.00,$1.50,$2.00,$23.50,Register,Tapped,-$0.95,T2,P2,Payment,Main,C2,Bob,
    2024-07-03,09:00:00,Eastern Time (US & Canada),-$20.00,$0.00,-$20.00,-$1.50,$0.00,-$21.50,Register,,$0.00,T2,P2R,Refund,Main,C2,Bob,
    2024-07-04,09:00:00,Eastern Time (US & Canada),$5.00,$0.00,$5.00,$0.00,$0.00,$5.00,Register,Tapped,-$0.20,T3,P3,Payment,Main,,,
    """),
    {"transactions": {"purchase": (2, 122350), "refund": (1, -2150)}},
    {"C1", "C2"},
)
STRIPE_PAYMENTS = Example(
    "Stripe payments",
    table("""
    id,Created date (UTC),Amount,Amount Refunded,Currency,Captured,Converted Amount,Converted Amount Refunded,Converted Currency,Fee,Mode,Refunded date (UTC),Status,Customer ID,Customer Email
    ch_1,2024-01-02 10:00:00,30.00,0.00,usd,true,27.00,0.00,eur,0.30,Live,,Paid,cus_1,ann@x.org
    ch_2,2024-01-03 10:00:00,20.00,20.00,usd,true,18.00,18.00,eur,0.30,Live,2024-03-01 08:00:00,Refunded,cus_2,bob@x.org
    ch_3,2024-01-04 10:00:00,40.00,10.00,usd,true,36.00,9.00,eur,0.30,Live,2024-03-02 08:00:00,Paid,cus_1,ann@x.org
    ch_4,2024-01-05 10:00:00,11.00,0.00,usd,false,9.00,0.00,eur,0.00,Live,,Failed,cus_2,bob@x.org
    ch_5,2024-01-06 10:00:00,12.00,0.00,usd,true,10.00,0.00,eur,0.30,Test,,Paid,cus_3,cy@x.org
    ch_6,2024-01-07 10:00:00,13.00,0.00,usd,false,11.00,0.00,eur,0.00,Live,,Incomplete,cus_3,cy@x.org
    """),
    {"transactions": {"purchase": (3, 9000), "refund": (2, 3000), "payment_failed": (1, 1100)}},
    {"cus_1", "cus_2"},
)
STRIPE_CHARGES = Example(
    "Stripe charges (API)",
    table("""
    id,object,amount,amount_refunded,created,currency,customer,status,paid,refunded,livemode
    ch_1,charge,3000,0,1704189600,usd,cus_1,succeeded,true,false,true
    ch_2,charge,2001,2001,1704276000,usd,cus_2,succeeded,true,true,true
    ch_3,charge,4000,1000,1704362400,usd,cus_1,succeeded,true,false,true
    ch_4,charge,1100,0,1704448800,usd,cus_2,failed,false,false,true
    ch_5,charge,1200,0,1704535200,usd,cus_3,succeeded,true,false,false
    ch_6,charge,1300,0,1704621600,usd,cus_3,pending,false,false,true
    """),
    {"transactions": {"purchase": (3, 9001), "refund": (2, 3001), "payment_failed": (1, 1100)}},
    {"cus_1", "cus_2"},
)
CHARGEBEE_INVOICES = Example(
    "Chargebee invoices",
    table("""
    Invoice Number,Customer Id,Subscription Id,Status,Invoice Date,Amount,Amount Paid,Amount Due,Currency Code
    1,c1,s1,Paid,18-Jan-2024 10:00,19.00,19.00,0.00,USD
    2,c1,s1,Paid,18-Feb-2024 10:00,19.00,19.00,0.00,USD
    3,c2,s2,Not Paid,19-Feb-2024 10:00,29.00,0.00,29.00,USD
    4,c2,s2,Payment Due,19-Mar-2024 10:00,29.00,0.00,29.00,USD
    5,c2,s2,Voided,20-Mar-2024 10:00,29.00,0.00,0.00,USD
    6,c3,s3,Paid,21-Mar-2024 10:00,0.00,0.00,0.00,USD
    """),
    {"transactions": {"purchase": (2, 3800), "payment_failed": (1, 2900), "void": (1, 2900)}},
    {"c1", "c2"},
)
RECURLY = Example(
    "Recurly transactions",
    table("""
    account_code,name,transaction_id,type,amount,tax_amount,currency,date,status,message,test
    a1,Ann,t1,purchase,9.95,0.00,USD,2024-01-19 11:16:41 PST,success,ok,FALSE
    a1,Ann,t2,refund,4.00,0.00,USD,2024-02-19 11:16:41 PST,success,ok,FALSE
    a2,Bob,t3,purchase,9.95,0.00,USD,2024-07-19 11:16:41 PDT,declined,no,FALSE
    a2,Bob,t4,authorization,1.00,0.00,USD,2024-07-20 11:16:41 PDT,success,ok,FALSE
    a3,Cy,t5,purchase,9.95,0.00,USD,2024-07-21 11:16:41 PDT,success,ok,TRUE
    a2,Bob,t6,purchase,19.95,0.00,USD,2024-07-22 11:16:41 PDT,void,ok,FALSE
    a2,Bob,t7,purchase,29.95,0.00,USD,2024-07-23 11:16:41 PDT,processing,ok,FALSE
    """),
    {
        "transactions": {
            "purchase": (1, 995),
            "refund": (1, 400),
            "payment_failed": (1, 995),
            "void": (1, 1995),
        }
    },
    {"a1", "a2"},
)
PAYPAL = Example(
    "PayPal activity",
    table("""
    Date,Time,TimeZone,Name,Type,Status,Currency,Gross,Fee,Net,From Email Address,To Email Address,Transaction ID,Reference Txn ID,Balance
    01/15/2024,14:23:45,PST,Ann,Website Payment,Completed,USD,"1,150.00",-4.95,145.05,Ann@x.org,shop@x.org,T1,,1
    01/16/2024,09:30:00,PST,Bob,Express Checkout Payment,Completed,USD,89.99,-2.97,87.02,bob@x.org,shop@x.org,T2,,1
    07/16/2024,09:30:00,PDT,Ann,Payment Refund,Completed,USD,-50.00,0.00,-50.00,shop@x.org,ann@x.org,T3,T1,1
    07/17/2024,09:30:00,PDT,,General Withdrawal,Completed,USD,-300.00,0.00,-300.00,,,T4,,1
    07/18/2024,09:30:00,PDT,Cy,Website Payment,Pending,USD,20.00,0.00,20.00,cy@x.org,shop@x.org,T5,,1
    07/19/2024,09:30:00,PDT,Paper,Express Checkout Payment,Completed,USD,-20.00,0.00,-20.00,shop@x.org,paper@x.org,T6,,1
    """),
    {"transactions": {"purchase": (2, 123999), "refund": (1, -5000)}},
    {"ann@x.org", "bob@x.org"},
)
ZENDESK = Example(
    "Zendesk tickets",
    table("""
    Id,Requester,Requester id,Requester external id,Requester email,Subject,Status,Ticket type,Created at,Updated at,Solved at,Satisfaction Score
    1,Ann,501,u1,ann@x.org,Hello,Closed,Question,2024-01-02 10:00,2024-01-05 10:00,2024-01-03 10:00,Good
    2,Bob,502,u2,bob@x.org,Hello,Solved,Problem,2024-01-03 10:00,2024-01-06 10:00,2024-01-04 10:00,Bad
    3,Ann,501,u1,ann@x.org,Hello,Open,Problem,2024-01-04 10:00,2024-01-04 10:00,,Not Offered
    4,Cy,503,u3,cy@x.org,Hello,Solved,Problem,2024-01-05 10:00,2024-01-07 10:00,2024-01-06 10:00,Offered
    5,Cy,503,u3,cy@x.org,Hello,Deleted,Problem,2024-01-05 11:00,2024-01-07 10:00,,Not Offered
    """),
    {"feedback": {"complaint": (4, 0), "csat": (3, 6)}},
)
FRESHDESK = Example(
    "Freshdesk tickets",
    table("""
    Ticket ID,Subject,Status,Priority,Source,Type,Agent,Group,Created time,Due by Time,Resolved time,Closed time,Last update time,Resolution status,First response status,Tags,Full name,Contact ID
    1,Hi,Closed,Low,Email,Question,A,G,2024-01-02 10:00:00,2024-01-03 10:00:00,2024-01-03 09:00:00,2024-01-05 10:00:00,2024-01-05 10:00:00,Within SLA,Within SLA,,Ann,77001
    2,Hi,Open,Low,Email,Problem,A,G,2024-01-03 10:00:00,2024-01-04 10:00:00,,,2024-01-05 10:00:00,,Within SLA,,Bob,77002
    """),
    {"feedback": {"complaint": (2, 0)}},
)
HUBSPOT = Example(
    "HubSpot contacts",
    table("""
    Record ID,First Name,Last Name,Email,Phone Number,Contact owner,Last Activity Date (EDT),Lead Status,Create Date (EDT),Lifecycle Stage,Country/Region
    901,Ann,A,Ann@x.org,,Rep,2024-06-01 10:00,,2023-12-01 09:15,Customer,Norway
    902,Bob,B,bob@x.org,,Rep,2024-06-01 10:00,,2023-12-02 09:15,Customer,Chile
    """),
    {"customers": {"": (2, 0)}},
    {"ann@x.org", "bob@x.org"},
)
KLAVIYO = Example(
    "Klaviyo profiles",
    table("""
    Email,Klaviyo ID,First Name,Last Name,City,State / Region,Country,Zip Code,Source,Email Marketing Consent,Profile Created On,Date Added,Last Active,Historic Customer Lifetime Value
    Ann@x.org,01A,Ann,A,Oslo,,Norway,1,6,SUBSCRIBED,2023-12-01 09:15:00,2023-12-01 09:15:00,2024-06-01 09:15:00,45.50
    bob@x.org,01B,Bob,B,Lima,,Peru,1,6,NEVER_SUBSCRIBED,2023-12-02 09:15:00,2023-12-02 09:15:00,2024-06-01 09:15:00,20.00
    """),
    {"customers": {"": (2, 0)}},
    {"ann@x.org", "bob@x.org"},
)
DELIGHTED = Example(
    "Delighted surveys",
    table("""
    Person ID,Person Email,Sent At,Response At,Score,Comment
    1,ann@x.org,2024-01-02 10:00:00 UTC,2024-01-03 10:00:00 UTC,9,
    2,bob@x.org,2024-01-02 11:00:00 UTC,,,
    3,cy@x.org,2024-01-02 12:00:00 UTC,2024-01-05 10:00:00 UTC,0,
    """),
    {"feedback": {"nps": (3, 9)}},
)
DELIGHTED_API = Example(
    "Delighted responses (API)",
    table("""
    id,person,survey_type,score,comment,permalink,created_at,updated_at
    1,10,nps,9,,https://x.org/1,1704189600,
    2,11,nps,3,,https://x.org/2,1704276000,
    3,12,csat,4,,https://x.org/3,1704276000,
    """),
    {"feedback": {"nps": (2, 12), "csat": (1, 4)}},
    {"10", "11", "12"},
)
TYPEFORM = Example(
    "Typeform responses",
    table("""
    #,How likely are you to recommend us?,What did you like?,email,Response Type,Start Date (UTC),Stage Date (UTC),Submit Date (UTC),Network ID,Tags
    a1,9,All,ann@x.org,completed,2024-01-02 10:00:00,,2024-01-02 10:05:00,n1,
    a2,3,Nothing,Bob@x.org,completed,2024-01-03 10:00:00,,2024-01-03 10:05:00,n2,
    a3,10,,cy@x.org,started,2024-01-04 10:00:00,,,n3,
    """),
    {"feedback": {"nps": (2, 12)}},
    {"ann@x.org", "bob@x.org"},
)
MIXPANEL = Example(
    "Mixpanel events",
    table("""
    event,time,distinct_id,$insert_id,$city
    Login,1704189600,u1,i1,Oslo
    Played Song,1704189700,u1,i2,Oslo
    Login,1704276000,u2,i3,Lima
    """),
    {"interactions": {"Login": (2, 0), "Played Song": (1, 0)}},
    {"u1", "u2"},
)
MIXPANEL_RAW = Example(
    "Mixpanel raw export",
    table("""
    event,properties
    Login,"{""time"": 1704189600, ""distinct_id"": ""u1"", ""$insert_id"": ""i1""}"
    Login,"{""time"": 1704276000, ""distinct_id"": ""u2"", ""$insert_id"": ""i2""}"
    """),
    {"interactions": {"Login": (2, 0)}},
    {"u1", "u2"},
)
GA4 = Example(
    "Google Analytics 4 events",
    table("""
    event_date,event_timestamp,event_name,user_pseudo_id,platform
    20240102,1704189600123456,session_start,11.1,WEB
    20240102,1704189601123456,page_view,11.1,WEB
    20240103,1704276000123456,session_start,12.1,WEB
    """),
    {"interactions": {"visit": (2, 0), "page_view": (1, 0)}},
    {"11.1", "12.1"},
)
STRIPE_SUBSCRIPTIONS = Example(
    "Stripe subscriptions",
    table("""
    id,Customer ID,Customer Email,Plan,Quantity,Currency,Interval,Amount,Status,Created (UTC),Start Date (UTC),Current Period Start (UTC),Current Period End (UTC),Canceled At (UTC),Ended At (UTC)
    sub_1,cus_1,ann@x.org,basic,1,usd,month,19.00,active,2024-01-02 10:00,2024-01-02 10:00,2024-06-02 10:00,2024-07-02 10:00,,
    sub_2,cus_2,bob@x.org,basic,1,usd,month,19.00,canceled,2024-01-02 10:00,2024-01-02 10:00,2024-02-02 10:00,2024-03-02 10:00,2024-02-20 10:00,2024-03-02 10:00
    """),
    {},
)
STRIPE_API_SUBSCRIPTIONS = Example(
    "Stripe subscriptions (API)",
    table("""
    id,customer,plan,status,start_date,current_period_end,canceled_at
    sub_1,cus_1,basic,active,1704189600,1719900000,
    sub_2,cus_2,basic,canceled,1704189600,1709359200,1708400000
    """),
    {},
)
CHARGEBEE_SUBSCRIPTIONS = Example(
    "Chargebee subscriptions",
    table("""
    Subscription Id,Customer Id,Plan Id,Subscription Status,Started At,Current Term Start,Current Term End,Cancelled At,Currency Code
    s1,c1,basic,active,18-Jan-2024 10:00,18-Feb-2024 10:00,18-Mar-2024 10:00,,USD
    s2,c2,basic,cancelled,19-Feb-2024 10:00,19-Feb-2024 10:00,19-Mar-2024 10:00,01-Mar-2024 10:00,USD
    """),
    {},
)
RECURLY_SUBSCRIPTIONS = Example(
    "Recurly subscriptions",
    table("""
    uuid,account_code,email,plan_code,activated_at,modified_at
    s1,a1,ann@x.org,basic,2024-01-19 11:16:41 PST,2024-01-19 11:16:41 PST
    """),
    {},
)
SNAPSHOTS = (
    STRIPE_SUBSCRIPTIONS,
    STRIPE_API_SUBSCRIPTIONS,
    CHARGEBEE_SUBSCRIPTIONS,
    RECURLY_SUBSCRIPTIONS,
)
READ = (
    SHOPIFY_ORDERS,
    SHOPIFY_CUSTOMERS,
    WOOCOMMERCE,
    SQUARE,
    STRIPE_PAYMENTS,
    STRIPE_CHARGES,
    CHARGEBEE_INVOICES,
    RECURLY,
    PAYPAL,
    ZENDESK,
    FRESHDESK,
    HUBSPOT,
    KLAVIYO,
    DELIGHTED,
    DELIGHTED_API,
    TYPEFORM,
    MIXPANEL,
    MIXPANEL_RAW,
    GA4,
)
EXAMPLES = (*READ, *SNAPSHOTS)
# One for each way in which a format reads its file.
OF_EACH_KIND = (SHOPIFY_ORDERS, STRIPE_PAYMENTS, PAYPAL, ZENDESK, MIXPANEL_RAW)
