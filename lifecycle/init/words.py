"""The words that `lifecycle init` knows: names of columns, endings, kinds, and words in file names.

Plain data. Names are compared without case, spaces and underscores; the best synonym comes first.
"""

from __future__ import annotations

import re

_CUSTOMER = """
    customer_id cust_id client_id customer_unique_id customer_no customer_number customer_key
    customer_code customer cust_no client_no client user_id user member_id member_no
    subscriber_id account_id account_no household_id household_key msisdn buyer_id shopper_id
    guest_id visitor_id contact_id person_id donor_id master_id uid
"""
_TIME = """
    occurred_at event_time event_date event_timestamp timestamp datetime date_time date time
    created_at created ts day
"""
_RECORDED = "recorded_at loaded_at ingested_at booked_at posted_at"
SYNONYMS: dict[str, dict[str, str]] = {
    "customers": {
        "customer_id": f"{_CUSTOMER} id",
        "valid_from": "valid_from",
        "acquired_at": """
            acquired_at signup_date signup_at signed_up_at registered_at registration_date
            joined_at join_date joined customer_since member_since first_seen created_at created
            created_date
        """,
        "channel": "channel acquisition_channel source utm_source",
        "segment": "segment customer_segment customer_group customer_type tier",
        "region": "region country state province city area",
        "consent": """
            consent marketing_consent opt_in marketing_opt_in accepts_marketing newsletter
        """,
        "acquisition_cost": "acquisition_cost cac",
    },
    "transactions": {
        "customer_id": _CUSTOMER,
        "occurred_at": f"""
            occurred_at order_date ordered_at invoice_date transaction_date transaction_timestamp
            transaction_time purchase_date purchased_at order_time payment_date paid_at sale_date
            sales_date {_TIME}
        """,
        "amount": """
            amount total total_amount order_total grand_total order_value order_amount
            total_price line_total net_amount gross_amount amount_paid payment_amount
            payment_value paid revenue turnover sales_value sales_amount sales net_sales
            dollar_value spend spent value sum charge monetary
        """,
        "price": "unit_price price item_price price_each unit_cost",
        "recorded_at": _RECORDED,
        "transaction_id": """
            transaction_id order_id order_no order_number invoice_no invoice_id invoice_number
            invoice basket_id receipt_id receipt_no bill_no payment_id txn_id trans_id order id
        """,
        "kind": "kind transaction_type type order_status payment_status status event_type",
        "quantity": """
            quantity qty units pieces items item_count num_items number_of_items number_of_cds
        """,
        "category": "category product_category item_category department product_type genre",
        "discount": "discount discount_amount",
        "channel": "channel sales_channel order_channel medium platform",
        "method": "method payment_method paid_by payment_mode",
        "line": """
            product_id product sku stock_code item_id item article article_no description line_no
            line_id
        """,
        "currency": "currency currency_code",
    },
    "interactions": {
        "customer_id": _CUSTOMER,
        "occurred_at": f"""
            {_TIME} visited_at visit_date session_start login_at login_time start_time started_at
            sent_at
        """,
        "kind": """
            kind event event_type event_name action interaction interaction_type activity
            activity_type type
        """,
        "recorded_at": _RECORDED,
        "channel": "channel medium platform device",
        "quantity": "quantity minutes duration_minutes pages page_views duration",
    },
    "feedback": {
        "customer_id": _CUSTOMER,
        "occurred_at": f"""
            occurred_at sent_at survey_date review_date submitted_at opened_at raised_at rated_at
            {_TIME}
        """,
        "kind": "kind feedback_type survey_type survey type",
        "score": "score rating stars nps nps_score csat csat_score review_score satisfaction",
        "answered_at": """
            answered_at responded_at response_date answer_date review_answer_timestamp
        """,
        "resolved_at": "resolved_at closed_at solved_at resolution_date resolved closed",
        "topic": "topic category reason issue issue_type subject_category",
        "item": "item product product_id sku order_id",
        "recorded_at": _RECORDED,
    },
    "contracts": {
        "customer_id": _CUSTOMER,
        "starts_at": """
            starts_at starts_on start_date start started_at contract_start contract_start_date
            subscription_start subscription_start_date period_start current_period_start
            begin_date begins
        """,
        "ends_at": """
            ends_at ends_on end_date end expires_at expires expiry_date expiration_date
            contract_end contract_end_date subscription_end subscription_end_date period_end
            current_period_end valid_until
        """,
        "cancelled_at": """
            cancelled_at canceled_at cancelled_on cancellation_date cancel_date terminated_at
        """,
        "plan": "plan plan_name plan_id tariff tier product package subscription_type",
        "price": "price monthly_price term_price fee amount mrr",
        "auto_renew": "auto_renew auto_renewal autorenew renews",
        "recorded_at": f"{_RECORDED} signed_at created_at",
    },
}
ENDINGS = {
    "customer_id": "id",
    "occurred_at": "date datetime timestamp time at",
    "amount": "amount total value revenue sales",
}
# A name with one of these words is not chosen by its ending: `product_id` is no customer.
NOT_BY_ENDING = """
    order invoice transaction product item sku store shop basket session ticket review event row
    line campaign coupon sample visit payment contract subscription message survey plan upc
    category region country birth due delivered delivery shipping shipped carrier estimated
    expiry updated modified valid end until resolved answered answer approved cancelled first
    last average avg min max tax vat freight discount disc tip unit lifetime limit manufacturer
    vendor supplier seller merchant brand agent employee staff device location branch warehouse
    driver
"""
KIND_WORDS: dict[str, dict[str, str]] = {
    "transactions": {
        "purchase": """
            purchase purchases sale sales sold order orders ordered payment paid complete
            completed buy bought delivered shipped fulfilled success succeeded successful settled
            captured charge
        """,
        "refund": "refund refunds refunded return returns returned chargeback credit_note",
        "payment_failed": "payment_failed failed declined failure",
        "void": "void voided cancelled canceled cancel deleted",
    },
    "interactions": {
        "usage": "usage use used play plays stream watch listen",
        "login": "login logins log_in sign_in signin",
        "visit": "visit visits session sessions view views page_view pageviews pageview",
        "sent": "sent email_sent mail_sent emails mailing mailings newsletter newsletters",
        "opened": "opened open opens email_open email_opened",
        "clicked": "clicked click clicks email_click email_clicked",
        "call": "call calls phone_call support_call",
        "cancel_page": "cancel_page cancelpage cancellation_page",
    },
    "feedback": {
        "complaint": "complaint complaints ticket tickets issue issues claim claims support",
        "nps": "nps",
        "review": "review reviews rating ratings stars",
        "csat": "csat survey surveys satisfaction",
    },
}
FILE_WORDS: dict[str, str] = {
    "customers": """
        customers customer clients client users members subscribers households demographics
        people
    """,
    "transactions": """
        transactions transaction payments invoices invoice receipts baskets lines items retail
        refunds
    """,
    "interactions": """
        interactions events event clicks clickstream activity activities log logs emails logins
    """,
    "feedback": "feedback complaints tickets responses answers support ratings reviews",
    "contracts": """
        contracts contract subscriptions subscription policies memberships plans terms agreements
    """,
}
CURRENCY_SIGNS = {"€": "EUR", "£": "GBP", "¥": "JPY", "$": "USD"}
BLANK_WORDS = ("null", "na", "n/a", "nan", "none", "nat", "\\n")
_DAYS = """
    %Y%m%d %Y-%m-%d %Y/%m/%d %Y.%m.%d %d/%m/%Y %m/%d/%Y %d.%m.%Y %d-%m-%Y %m-%d-%Y %d/%m/%y
    %m/%d/%y %d.%m.%y %d-%b-%Y %d-%b-%y
"""
_SPACED_DAYS = ("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
_TOKEN_PATTERNS = {
    "Y": r"\d{4}",
    "y": r"\d\d",
    "b": "[A-Za-z]{3}",
    "B": "[A-Za-z]+",
    "p": "[AaPp][Mm]",
    "f": r"\d+",
}


def _format_pattern(format_: str) -> re.Pattern[str]:
    return re.compile(
        re.sub(
            r"%(\w)",
            lambda token: _TOKEN_PATTERNS.get(token[1], r"\d{1,2}"),
            format_.replace(".", "[.]"),
        )
    )


# strptime formats and the text each matches; where a value can be read either way, the day comes
# before the month.
DATE_FORMATS = {
    day + clock: _format_pattern(day + clock)
    for day in (*_DAYS.split(), *_SPACED_DAYS)
    for clock in _CLOCKS
}
